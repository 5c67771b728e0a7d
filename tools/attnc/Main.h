//===- Main.h - attnc as a function ----------------------------------------------------------------------===//
#ifndef ATTNC_TOOLS_MAIN_H
#define ATTNC_TOOLS_MAIN_H

namespace attnc {

/// The whole of attnc, from the command line to the exit status. A program that first calls `registerFamily` is attnc with
/// one more family.
int compilerMain(int argc, char **argv);

} // namespace attnc

#endif // ATTNC_TOOLS_MAIN_H
