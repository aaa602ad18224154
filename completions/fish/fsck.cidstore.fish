# SPDX-License-Identifier: BSD-2-Clause
# fish completion for fsck.cidstore(8)

complete -c fsck.cidstore -f -a '(__fish_complete_directories)'
complete -c fsck.cidstore -s n -d 'Change nothing'
complete -c fsck.cidstore -s a -d 'Correct what can be corrected without loss'
complete -c fsck.cidstore -s p -d 'Correct what can be corrected without loss'
complete -c fsck.cidstore -s y -d 'Correct, and save the rest'
complete -c fsck.cidstore -l report -r -F -d 'Where to tell what is lost, with -y'
complete -c fsck.cidstore -l quick -d 'Structure only'
complete -c fsck.cidstore -s q -d 'Print nothing'
complete -c fsck.cidstore -s v -d 'Print all figures'
complete -c fsck.cidstore -l json -d 'One JSON object on standard output'
complete -c fsck.cidstore -s h -l help -d 'Print help and exit'
complete -c fsck.cidstore -s V -l version -d 'Print the version and exit'
