"""`forensics demo`: a small corpus built, audited and judged, and a page that shows it."""
