"""Where bytes lie: folders, shards, servers, the hub, and the index.csv beside them. Add a data set here."""
