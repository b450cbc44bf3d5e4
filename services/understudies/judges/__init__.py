"""Judge whether a student's answer agrees with the teacher's; pure, without I/O."""
