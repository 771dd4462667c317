"""Talking to what runs elsewhere: clients that survive forks, databases, S3, asking again."""
