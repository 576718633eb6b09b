"""Scripts by which shells complete command lines: they ask `plumb complete`."""

from __future__ import annotations

BASH = r"""# completion of plumb for bash: source <(plumb completion bash)
_plumb() {
    local word
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _plumb plumb
"""
ZSH = r"""#compdef plumb
# completion of plumb for zsh: source <(plumb completion zsh)
_plumb() {
    local -a lines items
    local line
    lines=("${(@f)$("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in "${(@)lines}"; do
        [[ -n $line ]] && items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#items )); then
        _describe plumb items
    else
        _files
    fi
}
if [[ $funcstack[1] == _plumb ]]; then
    _plumb "$@"
else
    compdef _plumb plumb
fi
"""
FISH = r"""# completion of plumb for fish: plumb completion fish | source
function __plumb_complete
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] complete -- $words[2..-1] 2>/dev/null
end
complete -c plumb -f -a '(__plumb_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
