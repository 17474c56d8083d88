"""What an account does by itself, for its owner and for administrators: forwards, vacation reply, app passwords."""
