"""Read stored patterns as they are analysed: filtered, centred, split into halves."""
