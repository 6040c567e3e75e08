-- A port of two links whose sides restart (HSL 3.2.3 rows 3, 33, 34; 4.1). The handshake of a link is shortened to
-- HELLO and "a later CTL", its states to DETECT and ACTIVE; a port is up when its alive mask is set.

const -- what a run explores; models.toml sets other values
  RESTARTS: 1; -- of whole sides
  EPOCHS:   6; -- of a link, used in turn: so many that none is met again while someone still knows it

type
  Side:  scalarset(2);
  Link:  scalarset(2);
  Epoch: 0..EPOCHS; -- 0: unknown
  Life:  0..RESTARTS; -- which incarnation of a whole side
  State: enum {DETECT, ACTIVE};
  Flit:  record -- one may be under way per link and direction
    hello: boolean;
    epoch: Epoch;
    peer:  Epoch;
    life:  Life; -- ghost: the sender's
  endrecord;

var
  st:    array [Side] of array [Link] of State;
  epoch: array [Side] of array [Link] of Epoch;
  peer:  array [Side] of array [Link] of Epoch;
  met:   array [Side] of array [Link] of Life; -- ghost: the incarnation of the peer that this link works with
  port:  array [Side] of boolean;              -- AM is set: both links are in it
  with:  array [Side] of array [Link] of Life; -- ghost: `met` of the links when AM was set
  life:  array [Side] of Life;
  q:     array [Side] of array [Link] of Flit; -- on its way to that side
  restarts: 0..RESTARTS;
  calm:  boolean; -- no fault comes any more

function other(s: Side): Side; begin
  for o: Side do if o != s then return o; endif; endfor;
end;

procedure drop_session(s: Side; l: Link); begin -- D
  peer[s][l] := 0;
  st[s][l] := DETECT;
  undefine met[s][l];
end;

procedure new_session(s: Side; l: Link); begin -- N
  drop_session(s, l);
  epoch[s][l] := epoch[s][l] % EPOCHS + 1;
end;

procedure port_down(s: Side; l: Link); begin -- L: AM unset, row 3 for every other link
  if port[s] then
    port[s] := false;
    undefine with[s];
    for k: Link do if k != l & st[s][k] = ACTIVE then new_session(s, k); endif; endfor;
  endif;
end;

procedure take_peer(s: Side; l: Link; f: Flit); begin -- V
  peer[s][l] := f.epoch;
  met[s][l] := f.life;
end;

ruleset s: Side; l: Link do
  rule "receive" !isundefined(q[s][l].hello) ==>
  var f: Flit;
  begin
    f := q[s][l];
    undefine q[s][l];
    if f.hello then
      if f.epoch != peer[s][l] then -- rows 33, 34
        if st[s][l] = ACTIVE then
          port_down(s, l);
          drop_session(s, l);
        endif;
        take_peer(s, l, f);
      endif;
    endif;
    if f.epoch = peer[s][l] & f.peer = epoch[s][l] then st[s][l] := ACTIVE; endif;
  end;

  rule "send" isundefined(q[other(s)][l].hello) ==> begin
    q[other(s)][l].hello := st[s][l] = DETECT;
    q[other(s)][l].epoch := epoch[s][l];
    q[other(s)][l].peer := peer[s][l];
    q[other(s)][l].life := life[s];
  end;

  rule "lose a flit" !calm & !isundefined(q[s][l].hello) ==> begin undefine q[s][l]; end;
endruleset;

ruleset s: Side do
  rule "the port comes up" !port[s] & forall l: Link do st[s][l] = ACTIVE endforall ==> begin
    port[s] := true;
    with[s] := met[s];
  end;

  rule "restart" !calm & restarts > 0 ==> begin
    restarts := restarts - 1;
    life[s] := life[s] + 1;
    port[s] := false;
    undefine with[s];
    for l: Link do new_session(s, l); endfor;
  end;
endruleset;

rule "faults end" !calm ==> begin calm := true; end;

startstate begin
  undefine q; undefine met; undefine with;
  for s: Side do
    port[s] := false;
    life[s] := 0;
    for l: Link do epoch[s][l] := 0; new_session(s, l); endfor;
  endfor;
  restarts := RESTARTS;
  calm := false;
end;

-- A link that both sides work with belongs to the present session of both ports.
invariant "no port goes on with a link of another incarnation"
  forall s: Side do forall l: Link do forall o: Side do
    o != s & port[s] & port[o] & st[s][l] = ACTIVE & st[o][l] = ACTIVE & peer[s][l] = epoch[o][l] & peer[o][l] = epoch[s][l]
    -> with[s][l] = life[o]
  endforall endforall endforall;

-- From every state, also with no fault from there on (`calm`), this is reachable.
liveness "both ports are up, with links that fit"
  forall s: Side do
    port[s] & forall l: Link do st[s][l] = ACTIVE & exists o: Side do o != s & peer[s][l] = epoch[o][l] endexists endforall endforall;
