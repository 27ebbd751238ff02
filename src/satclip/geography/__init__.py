"""What lies where on Earth: land, coasts, countries, continents, and whole-world rasters read at a place."""
