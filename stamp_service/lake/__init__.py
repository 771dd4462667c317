"""Parquet lakes with one alert per row: a row's cutouts in one range read, wherever the files are."""
