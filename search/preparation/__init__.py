"""From a job to checked objects: space, images, strategy, workload and GPU share."""
