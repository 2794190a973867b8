"""Methods measured on data sets: one record for each scene, number of views and method, and reports of these files alone."""
