"""Programs that write a data set or judge one."""
