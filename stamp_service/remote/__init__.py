"""Talking to what runs elsewhere: clients that survive forks, S3, asking again."""
