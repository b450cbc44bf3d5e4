"""Route each call to the promoted student or to the teacher."""
