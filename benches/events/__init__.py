"""The event store at rate: ingest with rollups, and how long questions take."""
