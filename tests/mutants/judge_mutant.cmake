# The test of one mutant: the harness must fail on it with exit code 1 and one of the named counters
# above 0, and must pass the very same run on the product as it is.
#   cmake -DHARNESS=<program> -DMUTANT=<program> -DARGUMENTS=<words> -DEXPECT=<counters> -P this
cmake_minimum_required(VERSION 3.25)
separate_arguments(words UNIX_COMMAND "${ARGUMENTS} --json -")

execute_process(COMMAND ${MUTANT} ${words} OUTPUT_VARIABLE report RESULT_VARIABLE code
  ERROR_VARIABLE said)
if(NOT code EQUAL 1)
  message(FATAL_ERROR "The mutant was not caught: exit code ${code}\n${said}\n${report}")
endif()
set(caught 0)
separate_arguments(counters UNIX_COMMAND "${EXPECT}")
foreach(counter IN LISTS counters)
  string(JSON value GET "${report}" ${counter})
  math(EXPR caught "${caught} + ${value}")
endforeach()
if(caught EQUAL 0)
  message(FATAL_ERROR "The mutant was caught by another counter than ${EXPECT}:\n${report}")
endif()
message(STATUS "mutant: ${report}")

execute_process(COMMAND ${HARNESS} ${words} OUTPUT_VARIABLE report RESULT_VARIABLE code
  ERROR_VARIABLE said)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "The product itself fails this run: exit code ${code}\n${said}\n${report}")
endif()
message(STATUS "product: ${report}")
