"""Ask and read: the HTTP door. It never imports pipeline code."""
