# cmake -DINPUT=FILE -DOUTPUT=FILE -P Bitcode.cmake: a file's bytes as a C initializer list.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUTPUT} "${hex}\n")
