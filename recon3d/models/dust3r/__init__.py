"""DUSt3R and MASt3R, networks of two images, and their parts."""
