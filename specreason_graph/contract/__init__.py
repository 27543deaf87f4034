"""What users see and keep: settings, the state of a run, its events, and every error. Imports nothing of ours."""
