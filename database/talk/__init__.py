"""What people put in and get out: chats, messages, files."""
