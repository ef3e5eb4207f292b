"""The leaderboard: published records, submissions, and the page built from them."""
