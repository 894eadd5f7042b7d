"""From a manifest's labels to tensors, one file per kind of label. Missing is NaN."""
