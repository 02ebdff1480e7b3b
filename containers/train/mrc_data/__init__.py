"""``mrc-data``: checks a data set before a training run, and converts what annotation tools export."""
