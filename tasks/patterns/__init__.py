"""Read stored patterns as they are analysed: filtered, centred, thinned."""
