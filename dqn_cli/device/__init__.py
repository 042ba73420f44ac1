"""Where the run computes, and how."""
