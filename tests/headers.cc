// Somebody has to own the precompiled header.
