# SPDX-License-Identifier: BSD-2-Clause
# fish completion for cidctl(1)

set -l commands load export import get put delete and hash resolve stat compact
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
complete -c cidctl -n "$none" -a compact -d 'Merge, collect, give space back'

complete -c cidctl -l json -d 'Results as JSON on standard output'
complete -c cidctl -s q -l quiet -d 'No progress bar, no figures'
complete -c cidctl -s h -l help -d 'Print help and exit'

complete -c cidctl -n '__fish_seen_subcommand_from load' -l format -x -a 'auto hex bin csv' -d 'Form of the input'
complete -c cidctl -n '__fish_seen_subcommand_from load' -l batch -x -d 'Pairs handed over at once'
complete -c cidctl -n '__fish_seen_subcommand_from export' -l format -x -a 'frame hex bin' -d 'Form of the output'
complete -c cidctl -n '__fish_seen_subcommand_from get and' -s c -l count -d 'Print the number of values'
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
