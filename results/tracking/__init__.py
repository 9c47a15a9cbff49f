"""What the trackers share: the process that follows the tables, and what it tells a tracker."""
