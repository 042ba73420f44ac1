"""A report: one HTML page that shows a comparison, and needs nothing beside itself."""
