"""Other engines' containers on this host: recorded answers, and engines that really run."""
