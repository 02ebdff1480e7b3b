"""What a person looks at after training: runs, curves, pictures of detections, a report."""
