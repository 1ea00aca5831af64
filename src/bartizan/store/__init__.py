"""What Bartizan remembers about its own configuration: versions of the policy, and who did what.

`models` are the tables, `migrations` how they came to be (Alembic, forward only), `database` opens them: SQLite in the
state directory, or PostgreSQL where `BARTIZAN_STORE_URL` names one. `versions` is what other rooms call.

Nothing here is imported before a command needs it: SQLAlchemy alone takes longer to load than `bartizan --help` may
take. The edge never reads the store; with the store gone it starts from `policy/current.json`.
"""
