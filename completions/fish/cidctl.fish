# SPDX-License-Identifier: BSD-2-Clause
# fish completion for cidctl(1)

set -l commands load export import get put delete and hash resolve stat watch snapshot compact bench
set -l none "not __fish_seen_subcommand_from $commands"

complete -c cidctl -n "$none" -f
complete -c cidctl -n "$none" -s V -l version -d 'Print the version and exit'
complete -c cidctl -n "$none" -a load -d 'Insert pairs from text, CSV or binary records'
complete -c cidctl -n "$none" -a export -d 'Write everything to a file'
complete -c cidctl -n "$none" -a import -d 'Read an exported file'
complete -c cidctl -n "$none" -a get -d 'Print the values of keys'
complete -c cidctl -n "$none" -a put -d "Put values into a key's set"
complete -c cidctl -n "$none" -a delete -d 'Delete values, or keys'
complete -c cidctl -n "$none" -a and -d 'Print what the sets of keys share'
complete -c cidctl -n "$none" -a hash -d 'Identifiers of files, strings and lines'
complete -c cidctl -n "$none" -a resolve -d 'Identifiers back into names'
complete -c cidctl -n "$none" -a stat -d 'Print statistics'
complete -c cidctl -n "$none" -a watch -d 'Print changes as they are made'
complete -c cidctl -n "$none" -a snapshot -d 'Copy a store that is in use'
complete -c cidctl -n "$none" -a compact -d 'Merge, collect, give space back'
complete -c cidctl -n "$none" -a bench -d 'Measure the store on this machine'

complete -c cidctl -l json -d 'Results as JSON on standard output'
complete -c cidctl -s q -l quiet -d 'No progress bar, no figures'
complete -c cidctl -s h -l help -d 'Print help and exit'

complete -c cidctl -n '__fish_seen_subcommand_from load' -l format -x -a 'auto hex bin csv' -d 'Form of the input'
complete -c cidctl -n '__fish_seen_subcommand_from load bench' -l batch -x -d 'Pairs handed over at once'
complete -c cidctl -n '__fish_seen_subcommand_from export' -l format -x -a 'frame hex bin' -d 'Form of the output'
complete -c cidctl -n '__fish_seen_subcommand_from get and' -s c -l count -d 'Print the number of values'
complete -c cidctl -n '__fish_seen_subcommand_from watch' -l from -x -d 'Begin with this sequence number'
complete -c cidctl -n '__fish_seen_subcommand_from watch' -l count -x -d 'End after so many operations'
complete -c cidctl -n '__fish_seen_subcommand_from get' -s n -x -d 'At most so many values of each key'
complete -c cidctl -n '__fish_seen_subcommand_from get' -s k -l keys -d 'Lines KEY VALUE for a single key as well'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -l text -d 'Hash the arguments'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -l lines -d 'Hash each line'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -l md5 -d 'Take over MD5s'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -l uuid -d 'Take over UUIDs'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -l xxh128 -d 'Hash with XXH128'
complete -c cidctl -n '__fish_seen_subcommand_from hash' -s n -l names -d 'Print the names too'
complete -c cidctl -n '__fish_seen_subcommand_from hash resolve' -l dict -r -d 'Dictionary of names'
complete -c cidctl -n '__fish_seen_subcommand_from resolve' -s a -l all -d 'All names, not only the first'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l list -f -d 'What runs there are'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l keys -x -d 'Keys'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l values -x -d 'Values of each key'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l spread -f -d "A key's values come apart"
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l lookups -x -d 'Lookups of each kind'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l seconds -x -d 'The most a measurement takes'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l threads -x -d 'Readers at once, at most'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l seed -x -d 'Of the data'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l rounds -x -d 'Do all runs several times, in turns'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l dir -x -a '(__fish_complete_directories)' -d 'Where stores are made'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l keep -f -d 'Leave the stores there'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l reuse -f -d 'Use a store that is there'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l cgroup -x -d 'In a memory cgroup'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l log -x -d 'Size of the write-ahead log'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -l plot -r -d 'A picture of the long runs'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -s o -x -d 'A setting of the store'
complete -c cidctl -n '__fish_seen_subcommand_from bench' -f -a "(cidctl bench --list 2> /dev/null | string replace -r ' .*' '')"
