"""Data: COCO annotations, masks, augmentation, sharding and the training stream."""
