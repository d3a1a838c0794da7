"""What Skerry tells of itself: logs and metrics. What users did is in the activity log (arm/activity.py)."""
