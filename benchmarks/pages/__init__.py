"""How long the admin's pages take with a long history."""
