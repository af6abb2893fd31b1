# Writes a mutated copy of one product source file. Run by the build for every source that a mutant
# names: cmake -DSPEC=<name.mutant> -DROOT=<repository> -DSOURCE=<path in it> -DOUT=<file> -P this.
# A mutant is a text of blocks:
#   === path/of/source.cc
#   --- find
#   exact lines of the source
#   --- replace
#   what stands there instead
#   --- end
# The build fails unless the lines are found exactly once, so that a mutant that no longer fits the
# code is noticed, and mended, together with the change that moved it.
cmake_minimum_required(VERSION 3.25)
file(READ ${SPEC} spec)
file(READ ${ROOT}/${SOURCE} code)

# Splits `text` at the first `mark` into before and after; both empty-safe.
function(cut TEXT MARK BEFORE AFTER)
  string(FIND "${TEXT}" "${MARK}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${SPEC}: \"${MARK}\" is missing")
  endif()
  string(LENGTH "${MARK}" length)
  string(SUBSTRING "${TEXT}" 0 ${at} before)
  math(EXPR behind "${at} + ${length}")
  string(SUBSTRING "${TEXT}" ${behind} -1 after)
  set(${BEFORE} "${before}" PARENT_SCOPE)
  set(${AFTER} "${after}" PARENT_SCOPE)
endfunction()

set(edits 0)
while(TRUE)
  string(FIND "${spec}" "=== ${SOURCE}\n" at)
  if(at EQUAL -1)
    break()
  endif()
  cut("${spec}" "=== ${SOURCE}\n--- find\n" before spec)
  cut("${spec}" "\n--- replace\n" find spec)
  # A replacement of nothing has no line of its own.
  cut("\n${spec}" "\n--- end" replacement spec)
  string(REGEX REPLACE "^\n" "" replacement "${replacement}")
  string(FIND "${code}" "${find}" first)
  string(FIND "${code}" "${find}" last REVERSE)
  if(first EQUAL -1)
    message(FATAL_ERROR "${SPEC}: not in ${SOURCE} any more:\n${find}")
  elseif(NOT first EQUAL last)
    message(FATAL_ERROR "${SPEC}: more than once in ${SOURCE}:\n${find}")
  endif()
  cut("${code}" "${find}" before after)
  set(code "${before}${replacement}${after}")
  math(EXPR edits "${edits} + 1")
endwhile()
if(edits EQUAL 0)
  message(FATAL_ERROR "${SPEC}: no edit of ${SOURCE}")
endif()
file(WRITE ${OUT} "${code}")
