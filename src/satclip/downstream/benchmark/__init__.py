"""The benchmark as a person asks for it: names in, a folder with a page, tables and records out."""
