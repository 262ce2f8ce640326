"""How much a replica takes on, unless it is told otherwise. A file of its own: a job's flags need no torch."""

SESSIONS_AT_ONCE = 64  # scored together: four requests' by default; more would only make all of them wait longer
REQUESTS_WAITING = 64
