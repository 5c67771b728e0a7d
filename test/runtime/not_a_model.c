/* not_a_model.c: a shared library that is no model file. */
int not_a_model(void) { return 0; }
