"""The router: who serves each call, the promoted student or the teacher."""
