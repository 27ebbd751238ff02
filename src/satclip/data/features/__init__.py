"""Image features that were computed once, or a teacher's vectors by place: to train on in place of images."""
