"""The demo: a real image classifier, real photos, and a batch over them that can be watched."""
