"""What an embedding is good for: retrieval, linear probes and a picture, without any download."""
