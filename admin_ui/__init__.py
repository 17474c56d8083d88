"""The panel: a Flask application over `mailstack.management`."""
