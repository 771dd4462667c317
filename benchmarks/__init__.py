"""Measurements named in doc/performance.md; never run as tests."""
