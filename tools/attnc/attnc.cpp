//===- attnc.cpp - Compile an attention model ahead of time ----------------------------------------------===//
#include "Main.h"

int main(int argc, char **argv) { return attnc::compilerMain(argc, argv); }
