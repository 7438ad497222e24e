"""A simulated reader labels a data set through the real server: how many clicks it takes, and how long one waits."""
