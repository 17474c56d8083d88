"""Where is my mail: the timeline of each message, with the other side's words explained."""
